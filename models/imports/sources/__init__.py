"""The mapping files that ship with the product, one per known source."""
