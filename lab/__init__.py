"""The lab: a real Envoy with phiward, a real FHIR server and a real authorization server on
loopback, for the demo and the Envoy tests.

`clock`         a process whose wall clock is set while it runs
`soak`          `make soak`: full load for a long time
`processes`     start, wait for and stop processes; free ports
`envoy`         Envoy with the files of envoy/, its log, its statistics, its audit lines
`fhir_server`   sekmet-fhir with a handful of invented patients
`auth_server`   oidc-provider: log in as a patient or a clinician, backend service, key rotation
`servers`       small servers that tests steer: recording upstream, revocation list, key set
`access_logs`   Envoy's access log service
`receivers`     real log collectors: Fluent Bit, Tenzir
`tokens`        any token, made by hand: every algorithm, forged, malformed
`http`          an HTTP/1.1 client that sends exactly the bytes it is given
`http2`         the same for the fields of an HTTP/2 request
"""
