// Package precision makes bundles whose encoder is stored in half precision or computes with 8-bit integers, and tells what
// that does to their maps.
//
// Run samples normal footage. For 8 bits it collects the range of every tensor of the encoder on some of the frames, and
// measures on others how far the map moves when one operator alone is quantised. It keeps those in float32 that move the map
// too much for what they save. It then calibrates both bundles, the given one and the new one, on the footage, and compares
// them: the maps of held-back frames, how well pasted or labelled things are found, and the time for a frame. A new bundle
// whose maps move by more than their own noise is not written: see [ErrMoved].
package precision
