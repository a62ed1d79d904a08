"""The services. Every one reads alike: routes, service, store, schemas, ports, client; `kit` is shared."""
