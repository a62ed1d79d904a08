"""One module a provider; each implements `backend.mega.ports.SmsProvider`."""
