"""Faces found, aligned and measured."""
