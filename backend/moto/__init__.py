"""The token service: keypad tokens of both families, stateless or from its registry of devices.

routes.py parses and renders, service.py decides, generator.py checks a request and makes the digits,
store.py holds the SQL. Rules: spec/moto_token.md, resolutions 18-20, checklist 78-94.
"""
