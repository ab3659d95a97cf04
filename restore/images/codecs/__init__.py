"""One format a file, or a package where a format takes several files."""
