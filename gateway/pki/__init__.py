"""X.509 and enrolment: who may talk to the gateway."""
