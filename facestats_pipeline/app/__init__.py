"""The dashboard: one small module a page; `data` has every query and knows nothing of Streamlit."""
