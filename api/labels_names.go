package api

import (
	"maps"
	"slices"
)

// DVDOptions returns the names of the options that ParseDVDOptions knows.
func DVDOptions() []string { return slices.Sorted(maps.Keys(dvdiOptions)) }

// CSISettings returns the names of the settings that ParseCSIVolume knows.
func CSISettings() []string { return slices.Clone(csiSettings) }
