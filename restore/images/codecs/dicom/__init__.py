"""DICOM: header, transfer syntaxes, values and windows, geometry, and the derived object that is written."""
