// Package pipeline is the run time: the way of a frame from a camera to the outlets.
//
//	source ─▶ capture ─┬─▶ outlets: every frame
//	                   └─▶ queue ─▶ turn ─▶ detector ─▶ map ─▶ tracker ─▶ events ─▶ outlets
//
// Each camera has two goroutines. The capturing one runs the source and puts every frame into the camera's queue, which is
// bounded and drops the oldest frame for live streams. The scoring one waits for the camera's turn (turns.go), takes the
// newest frame then, and hands the map and the events that it leads to on to the outlets.
//
// Who owns a frame: the source takes it from the camera's pool, and the capturing goroutine owns it next. Outlets receive a
// reference of their own. The queue owns the frame while it waits; the scoring goroutine owns it afterwards and releases it
// when its events have been announced. A map belongs to nobody once it is made: nothing writes to it again.
//
// Who may block: a source with the policy "wait" blocks while its queue is full, and any source blocks while it waits for
// its stream. Scoring blocks on the turn, because all cameras share the cores or the GPU. Outlets never block, except that
// an outlet may take the time to write an event to the disk.
//
// A Pipeline owns a resolved [Config], in which every camera has all of its settings; package configs makes one from a
// file. Maps and events go to an [Outlet], so the pipeline knows nothing about NATS, pages or archives. Of publish it
// imports the schema alone: what a camera answers when it is asked for its status.
package pipeline
