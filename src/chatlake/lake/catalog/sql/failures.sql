-- The ledger: one row for each completion that could not be fetched and is still to be tried again.
CREATE VIEW failures AS
SELECT * FROM ledger.failures;
