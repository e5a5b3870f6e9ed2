package pipeline

import (
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// openSource is the default of WithSources.
func openSource(cfg ingest.Config, pool *ingest.Pool, mayWait bool) (ingest.Source, error) {
	return opencv.New(cfg, pool)
}
