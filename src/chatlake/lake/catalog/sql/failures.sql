-- The ledger: one row for each completion that could not be fetched yet; the next backup tries it again.
CREATE VIEW failures AS
SELECT * FROM ledger.failures;
