"""One self-contained web page about many pictures: tables, histograms, sliders and difference maps. It opens without a network."""

from restore.html_report.model import Cell, Chart, Column, Figure, Layer, Listing, Page, Row, Table
from restore.html_report.page import write

__all__ = ["Cell", "Chart", "Column", "Figure", "Layer", "Listing", "Page", "Row", "Table", "write"]
