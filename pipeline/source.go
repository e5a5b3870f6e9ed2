package pipeline

import (
	"log/slog"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

// openSource is the default of WithSources. tap may be nil.
func openSource(log *slog.Logger, tap ingest.Tap) OpenSource {
	return func(cfg ingest.Config, pool *ingest.Pool, mayWait bool) (ingest.Source, error) {
		return source.New(cfg, pool, source.Settings{MayWait: mayWait, Tap: tap, Log: log})
	}
}
