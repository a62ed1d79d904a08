"""USSD host: walks a customer through the menu and has momo take the payment.

Start at service.py; pages.py is the menu as a table; languages/ hold the texts.
"""
