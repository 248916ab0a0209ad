"""The packages in the locks, their licences, and the bill of materials."""
