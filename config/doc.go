// Package config fills a settings struct from four places, each stronger than
// the one before: the struct's own defaults, a YAML file, environment variables
// and flags. It is strict: a key that does not exist, a value of the wrong kind
// and a value that the struct's Validate refuses are errors that name the place,
// the key, the value and what would be right.
//
// A setting is an exported field with a yaml tag. Structs nest; the keys of a
// setting are joined with dots. A field's env tag names its environment
// variable; without one it is FLOCKER_ and the key in capitals, and with "-"
// only the file can set it.
package config
