"""Active adversaries against blocks of clicks: simulators, cases, and the rates at which they are noticed."""
