"""The .NET mirror: payments, device commands and tokens under one roof, for clients that know its routes.

routes.py parses and renders, service.py decides, on top of what ports.py asks of Solarium, M2M and Moto; the
hub itself keeps its API keys, and whose each command is (store.py). Rules: resolutions 11 and 12, checklist
49-51.
"""
