-- The ledger: one row for each run and source, with what it found and did.
CREATE VIEW runs AS
SELECT * FROM ledger.runs;
