// Package openapi is the description of the control service's REST API, and
// the checks that follow from it. The document, openapi.yaml, is the source:
// what it does not name is not served, requests are held against its schemas
// before any handler sees them, and docs/api.md is made from it.
//
// Its schemas are JSON Schema 2020-12, as OpenAPI 3.1 says, so they are compiled
// where they stand in the document by a library for JSON Schema. What is left to
// do here is little, and lets mistakes be told in Flocker's words.
package openapi
