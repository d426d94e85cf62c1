"""The report of a map: the answer in words, interactive figures and tables in one HTML file."""

from spinodal.report.hierarchy import save_hierarchy
from spinodal.report.page import render, save_report
from spinodal.words.in_full import answer_sentences

__all__ = ["answer_sentences", "render", "save_hierarchy", "save_report"]
