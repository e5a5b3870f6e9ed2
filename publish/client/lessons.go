package client

import (
	"context"

	"github.com/oodcast/oodcast/publish/schema"
)

// Teach says that something is normal for a camera, or tries what that would change.
func (c *Client) Teach(ctx context.Context, camera string, what schema.Teaching) (schema.Taught, error) {
	return answered[schema.Taught](ctx, c, camera, "normal", what)
}

// Lessons returns what a camera was taught, oldest first.
func (c *Client) Lessons(ctx context.Context, camera string) ([]schema.Lesson, error) {
	list, err := answered[schema.Lessons](ctx, c, camera, "lessons", nil)
	return list.Lessons, err
}

// Forget takes a lesson back.
func (c *Client) Forget(ctx context.Context, camera, lesson string) error {
	_, err := answered[schema.Lessons](ctx, c, camera, "forget", map[string]string{"id": lesson})
	return err
}
