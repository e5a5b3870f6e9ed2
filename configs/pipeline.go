package configs

import "github.com/oodcast/oodcast/pipeline"

// Pipeline resolves c: a camera's own keys override the keys for all cameras.
func (c *Config) Pipeline() pipeline.Config {
	out := pipeline.Config{Site: c.Publish.Site, Provider: c.Provider.Options(), Batch: c.Provider.Batch}
	for _, cam := range c.Cameras {
		out.Cameras = append(out.Cameras, pipeline.CameraConfig{
			Source:   cam.source(),
			Queue:    cam.QueueConfig,
			Bundle:   c.bundleOf(cam),
			Detector: c.detectorOf(cam),
			Events:   c.eventsOf(cam),
		})
	}
	return out
}
