"""Renders templates that others wrote, in processes that may use little memory and little time."""
