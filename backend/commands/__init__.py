"""What `payg keys`, `letters`, `import` and `reconcile` do, beside or against running services.

keys_app.py, letters_app.py and operators_app.py are what payg.py mounts; their imports wait until a command
runs. opening.py opens what is on this machine, remote.py reaches a service over HTTP; how a command ends is
in backend/process.py.
"""
