"""The dashboard: one small module per page. All queries are in `data`, which does not use Streamlit."""
