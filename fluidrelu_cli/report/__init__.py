"""From runs to a document, and from a document to every format."""
