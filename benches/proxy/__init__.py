"""Side by side in one Envoy: phiward, Envoy's own filters, and what each of them could cost at least.

`rows`          what is measured: a listener and what is sent to it
`listeners`     the listeners
`traffic`       requests and their tokens
`meter`         processor time of Envoy's threads; `instructions` where the machine counts them
`rounds`        all rows take turns
`flat`          what must not grow: lists, caches, scopes, workers; memory
`goals`         what is to be reached
`page`, `plot`  docs/performance.md and its picture
"""
