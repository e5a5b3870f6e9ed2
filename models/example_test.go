package models_test

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
)

func ExampleOpen_notFound() {
	_, err := models.Open("/no/such/folder")
	fmt.Println(errors.Is(err, models.ErrNotFound))
	// Output: true
}

func ExampleManifest_Validate() {
	m := models.DefaultManifest()
	m.Name = "mine"
	m.Encoder = models.EncoderSpec{
		Architecture: "onnx", Features: "keys@16", Channels: 768, Stride: 16, LogitsStride: 4,
		Classes: []string{"road", "rest"}, Size: models.Size{Width: 1000, Height: 512},
	}
	fmt.Println(m.Validate())
	// Output: models.encoder.size.width: got 1000, want a positive multiple of 32
}
