#ifndef OODCAST_INGEST_FFMPEG_READER_H
#define OODCAST_INGEST_FFMPEG_READER_H

#include <stdatomic.h>
#include <stdint.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>

// A reader is an opened video file or stream. One thread calls all functions except oodcast_av_interrupt. Functions that
// return an int return 0 or an AVERROR unless their comment says otherwise.
typedef struct {
	atomic_int interrupted;
	int live;         // packets come when they come
	int endless;      // live, and the source has no end: when it stops, it broke off
	int bursts;       // endless, and a playlist: packets come a segment at a time, ahead of their time
	int64_t newest;   // time of the newest packet of bursts, in microseconds of the stream
	int64_t due;      // when it would come if packets came at their time, on av_gettime_relative's clock
	int64_t timeout;  // how long a packet of a live stream may take, in microseconds
	atomic_llong deadline; // of the running call, on av_gettime_relative's clock; 0: none
	atomic_int keyless;    // the demuxer keeps packets back, because it waits for a key frame
	int interleaved;       // FFmpeg says when a packet of RTP comes over the connection of RTSP
	int expired;      // a call has exceeded its deadline
	AVFormatContext *format;
	AVIOContext *http; // of an address of HTTP
	int pictures;      // http sends JPEG pictures, which the caller takes apart: see oodcast_av_read and oodcast_av_decode
	int single;        // it may be one picture: the server does not call them parts
	char reason[160];  // what FFmpeg logged when it failed to open, "" when it logged nothing
	AVCodecContext *codec;
	AVStream *stream; // belongs to format; NULL for pictures
	int track, tracks; // number of the stream among the video tracks, and how many there are
	AVPacket *packet;
	AVFrame *frame; // the picture decoded last
	struct SwsContext *scaler;  // writes RGB, or BGR if there is a swapper
	struct SwsContext *swapper; // from BGR to RGB, NULL where none is needed
	int width, height, pixels, colours, range; // of the frames that scaler converts
	uint8_t *rows[4]; // where scaler writes when it cannot write to the destination: padded rows, NULL until needed
	int row_bytes[4];
	int at_end; // the decoder has been told that no packet follows
	uint64_t packets, keys; // of the stream, and those of them that begin with a key frame
	int tap;       // at which packets oodcast_av_next stops: OODCAST_TAP_NONE and so on
	int undecoded; // packet has been shown to the caller, and is still to be decoded
	AVBSFContext *annexb; // converts packets to Annex B; NULL where they are Annex B already
	AVPacket *converted;  // by annexb
	int unfit; // what the pictures have turned out to be: OODCAST_REORDERED and so on
} oodcast_av;

// oodcast_av_alloc returns a reader that is not open, or NULL when memory is short.
oodcast_av *oodcast_av_alloc(void);

// oodcast_av_open opens url. options are key;value|key;value for the demuxer and the protocol, which ignore unknown keys.
// track is the number of the video track, from 0; -1 is the largest, or of several the one that is marked as the default. The
// decoder works on the slices of one picture of a live stream in parallel, and on successive pictures of other films, which
// delays each of them. A packet of a live stream may take up to timeout microseconds.
int oodcast_av_open(oodcast_av *r, const char *url, const char *options, int track, int live, int64_t timeout,
                    int64_t max_pixels);

// oodcast_av_next decodes the next picture into frame; AVERROR_EOF at the end. Of an endless stream it reads no more
// than one packet, and returns AVERROR(EAGAIN) when that did not complete a picture.
int oodcast_av_next(oodcast_av *r);

// Values of oodcast_av.tap.
enum { OODCAST_TAP_NONE, OODCAST_TAP_KEYS, OODCAST_TAP_ALL };

// Bits of oodcast_av.unfit: pictures are sent in another order than they are shown in, or they consist of two fields.
enum { OODCAST_REORDERED = 1, OODCAST_INTERLACED = 2 };

// OODCAST_TAPPED is what oodcast_av_next returns when it has read a packet at which it is to stop. The next call decodes it.
enum { OODCAST_TAPPED = FFERRTAG('T', 'A', 'P', 'D') };

// oodcast_av_h264 reports whether the stream is H.264 and has no end.
int oodcast_av_h264(const oodcast_av *r);

// oodcast_av_headers returns the parameter sets at the head of an H.264 stream as Annex B; NULL when there are none.
const uint8_t *oodcast_av_headers(oodcast_av *r, int *size);

// oodcast_av_unit returns the access unit at which oodcast_av_next stopped as Annex B; NULL when it cannot be converted. It is
// valid until the next call of any function.
const uint8_t *oodcast_av_unit(oodcast_av *r, int *size);

// OODCAST_ONE_PICTURE is the error of an address that holds a single picture.
enum { OODCAST_ONE_PICTURE = FFERRTAG('1', 'P', 'I', 'C') };

// oodcast_av_read reads from http and returns how many bytes it has read, or an AVERROR. It waits up to the time-out.
int oodcast_av_read(oodcast_av *r, uint8_t *dst, int size);

// oodcast_av_decode decodes a JPEG picture into frame; AVERROR(EAGAIN) when it cannot be decoded.
int oodcast_av_decode(oodcast_av *r, const uint8_t *jpeg, int size);

// The orientation of a picture: what makes it upright. The picture is mirrored left to right, then top to bottom, and then its
// rows become columns.
enum { OODCAST_FLIP_X = 1, OODCAST_FLIP_Y = 2, OODCAST_SWAP = 4 };

// oodcast_av_rgb writes the picture to dst, packed RGB, in the given orientation.
int oodcast_av_rgb(oodcast_av *r, uint8_t *dst, int orientation);

// oodcast_av_orientation returns the orientation of the picture that was decoded last.
int oodcast_av_orientation(const oodcast_av *r);

// oodcast_av_waits reports whether a call waits for a packet and its deadline has not come yet. Any thread may call it.
int oodcast_av_waits(oodcast_av *r);

// oodcast_av_interrupt makes the running call and all later ones return AVERROR_EXIT soon. Any thread may call it.
void oodcast_av_interrupt(oodcast_av *r);

// oodcast_av_free closes and frees the reader, whether it is open or not.
void oodcast_av_free(oodcast_av *r);

// oodcast_av_silence stops FFmpeg from logging to stderr: its lines contain addresses with their credentials.
void oodcast_av_silence(void);

#endif
