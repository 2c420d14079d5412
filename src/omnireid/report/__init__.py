"""Result record → table, figures and the self-contained HTML report. Imports no torch."""
