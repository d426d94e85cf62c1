"""The report of a map: the answer in words, interactive figures and tables in one HTML file."""

from spinodal.report.answer import answer_sentences
from spinodal.report.hierarchy import save_hierarchy
from spinodal.report.page import render, save_report

__all__ = ["answer_sentences", "render", "save_hierarchy", "save_report"]
