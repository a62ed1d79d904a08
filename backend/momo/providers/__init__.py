"""One module a provider; each implements `backend.momo.ports.Provider`."""
