package main

import (
	"errors"
	"io/fs"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// exitCode maps an error to a documented exit code: 2 for wrong usage or configuration, 3 for a missing installation.
func exitCode(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage), isAny(err, configs.ErrInvalid, models.ErrNotFound, models.ErrEncoderOnly, models.ErrUncalibrated,
		detector.ErrSetting, dataset.ErrUnknown, method.ErrUnknown, method.ErrNeedsDenoiser, method.ErrNeedsReference,
		method.ErrNeedsMasks, method.ErrNeedsClasses, ingest.ErrUnsupported):
		return exitUsage
	case isAny(err, ort.ErrNotInstalled, ort.ErrProvider, errMissing):
		return exitNotInstalled
	case errors.Is(err, fs.ErrNotExist):
		return exitUsage
	default:
		return exitFailed
	}
}
