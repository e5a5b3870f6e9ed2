package vp8test

/*
#cgo pkg-config: vpx
#include <stdlib.h>
#include <string.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vp8dx.h>

static vpx_codec_ctx_t *decoder_new(vpx_codec_err_t *err) {
	vpx_codec_ctx_t *c = calloc(1, sizeof *c);
	if (!c) { *err = VPX_CODEC_MEM_ERROR; return NULL; }
	*err = vpx_codec_dec_init(c, vpx_codec_vp8_dx(), NULL, 0);
	if (*err) { free(c); return NULL; }
	return c;
}

static vpx_codec_err_t decoder_decode(vpx_codec_ctx_t *c, const unsigned char *data, unsigned int n,
                                      vpx_image_t **img) {
	*img = NULL;
	vpx_codec_err_t err = vpx_codec_decode(c, data, n, NULL, 0);
	if (err) return err;
	vpx_codec_iter_t it = NULL;
	*img = vpx_codec_get_frame(c, &it);
	return VPX_CODEC_OK;
}

static void decoder_free(vpx_codec_ctx_t *c) {
	vpx_codec_destroy(c);
	free(c);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/oodcast/oodcast/publish/vp8"
)

// Picture is a decoded I420 picture.
type Picture struct {
	Width, Height int
	I420          []byte // vp8.I420Size(Width, Height) bytes
}

// Decoder turns VP8 frames back into pictures.
type Decoder struct{ c *C.vpx_codec_ctx_t }

// NewDecoder returns a decoder. Its first frame must be a key frame.
func NewDecoder() (*Decoder, error) {
	var code C.vpx_codec_err_t
	c := C.decoder_new(&code)
	if c == nil {
		return nil, fmt.Errorf("vp8 decoder: %s", C.GoString(C.vpx_codec_err_to_string(code)))
	}
	return &Decoder{c: c}, nil
}

// Decode returns the picture of one VP8 frame. Bytes that are not VP8 give an error.
func (d *Decoder) Decode(frame []byte) (Picture, error) {
	if d.c == nil {
		return Picture{}, vp8.ErrClosed
	}
	if len(frame) == 0 {
		return Picture{}, errors.New("vp8 decode: empty frame")
	}
	var img *C.vpx_image_t
	code := C.decoder_decode(d.c, (*C.uchar)(unsafe.Pointer(unsafe.SliceData(frame))), C.uint(len(frame)), &img)
	if code != C.VPX_CODEC_OK {
		return Picture{}, fmt.Errorf("vp8 decode: %s", C.GoString(C.vpx_codec_err_to_string(code)))
	}
	if img == nil {
		return Picture{}, errors.New("vp8 decode: frame shows no picture")
	}
	w, h := int(img.d_w), int(img.d_h)
	p := Picture{Width: w, Height: h, I420: make([]byte, 0, vp8.I420Size(w, h))}
	for plane := range 3 {
		pw, ph := w, h
		if plane > 0 {
			pw, ph = (w+1)/2, (h+1)/2
		}
		stride := int(img.stride[plane])
		for y := range ph {
			row := unsafe.Add(unsafe.Pointer(img.planes[plane]), y*stride)
			p.I420 = append(p.I420, unsafe.Slice((*byte)(row), pw)...)
		}
	}
	return p, nil
}

// Close frees the C memory. Closing twice is harmless.
func (d *Decoder) Close() error {
	if d.c != nil {
		C.decoder_free(d.c)
		d.c = nil
	}
	return nil
}
