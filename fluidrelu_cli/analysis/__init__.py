"""Statistics: tables in, tables out; no words."""
