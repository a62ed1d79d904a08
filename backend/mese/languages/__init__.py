"""The texts of the menu, a module a language."""
