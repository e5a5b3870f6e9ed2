package ffmpeg

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"
)

// split feeds a stream in chunks and returns the pictures in it.
func split(t *testing.T, stream []byte, chunk int) (pictures [][]byte) {
	t.Helper()
	var j jpegs
	for len(stream) > 0 {
		n := copy(j.space(chunk), stream)
		stream = stream[n:]
		j.grow(n)
		for {
			p, err := j.next()
			if err != nil {
				t.Fatal(err)
			}
			if p == nil {
				break
			}
			pictures = append(pictures, bytes.Clone(p))
		}
	}
	return pictures
}

// Whatever surrounds a picture and in whatever chunks it comes, it is found.
func FuzzJPEGs(f *testing.F) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 20, 10)), nil); err != nil {
		f.Fatal(err)
	}
	picture := b.Bytes()
	f.Add([]byte("\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n"), []byte("--frame"), uint16(7))
	f.Add([]byte{}, []byte{0xFF, 0xD8}, uint16(1))
	f.Add(picture[:60], picture[:20], uint16(1000))
	f.Fuzz(func(t *testing.T, before, between []byte, chunk uint16) {
		if len(before)+len(between) > 1<<12 {
			t.Skip()
		}
		stream := bytes.Join([][]byte{before, picture, between, picture, between}, nil)
		got := split(t, stream, int(chunk)+1)
		if !bytes.Equal(bytes.Join(got, nil), bytes.Join(split(t, stream, 1), nil)) {
			t.Error("the pictures depend on the chunks")
		}
		if bytes.IndexByte(before, 0xFF) >= 0 || bytes.IndexByte(between, 0xFF) >= 0 {
			return // it may look like the beginning of a picture
		}
		if len(got) != 2 || !bytes.Equal(got[0], picture) || !bytes.Equal(got[1], picture) {
			t.Errorf("%d pictures, want two", len(got))
		}
	})
}
