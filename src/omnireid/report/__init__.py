"""Result record → table, figures and the self-contained HTML report. Imports no torch."""

from omnireid.report.activation import activation_map, overlay
from omnireid.report.analysis import rich_analysis
from omnireid.report.comparison import plot_results, rich_versus
from omnireid.report.embeddings import EmbeddingMap, embedding_map
from omnireid.report.identities import IdentityScore, identity_scores, identity_table
from omnireid.report.overview import write_overview
from omnireid.report.page import Activation, ReportData, write_report
from omnireid.report.paper import TABLE_FORMATS, PaperRow, TableFormat, paper_table
from omnireid.report.robustness import rich_robustness
from omnireid.report.table import markdown_table, plain_table, rich_means, rich_table
from omnireid.report.wording import protocol_sentence

__all__ = [
    "TABLE_FORMATS",
    "Activation",
    "EmbeddingMap",
    "IdentityScore",
    "PaperRow",
    "ReportData",
    "TableFormat",
    "activation_map",
    "embedding_map",
    "identity_scores",
    "identity_table",
    "markdown_table",
    "overlay",
    "paper_table",
    "plain_table",
    "plot_results",
    "protocol_sentence",
    "rich_analysis",
    "rich_means",
    "rich_robustness",
    "rich_table",
    "rich_versus",
    "write_overview",
    "write_report",
]
