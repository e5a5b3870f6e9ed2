#ifndef OODCAST_INGEST_FFMPEG_READER_H
#define OODCAST_INGEST_FFMPEG_READER_H

#include <stdatomic.h>
#include <stdint.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

// A reader is an opened video or stream. All functions but oodcast_av_interrupt belong to one thread. Those that return an
// int return 0 or an AVERROR.
typedef struct {
	atomic_int interrupted; // FFmpeg polls it while it waits
	AVFormatContext *format;
	AVCodecContext *codec;
	AVStream *stream; // of format
	AVPacket *packet;
	AVFrame *frame; // decoded last
	struct SwsContext *scaler;
	uint8_t *rows[4]; // of the scaler: BGR, each row padded
	int row_bytes[4];
	int width, height, pixels, colours, range; // of the frame that scaler and rows are for
	int at_end;        // the decoder was told that there is no more
} oodcast_av;

// oodcast_av_alloc returns a reader that is not open, or NULL without memory.
oodcast_av *oodcast_av_alloc(void);

// oodcast_av_open opens url. options are key;value|key;value for demuxer and protocol; those they do not know are ignored.
// slices decodes the parts of one picture in parallel, instead of successive pictures, which makes each of them late.
int oodcast_av_open(oodcast_av *r, const char *url, const char *options, int slices, int64_t max_pixels);

// oodcast_av_next decodes the next picture; AVERROR_EOF at the end. frame has its size and time.
int oodcast_av_next(oodcast_av *r);

// oodcast_av_bgr writes the picture to dst, packed: 3 bytes a pixel.
int oodcast_av_bgr(oodcast_av *r, uint8_t *dst);

// oodcast_av_turns is how many quarter turns to the right make the picture upright, 0 to 3.
int oodcast_av_turns(const oodcast_av *r);

// oodcast_av_interrupt makes the call that is under way, and all later ones, return AVERROR_EXIT soon. Any thread.
void oodcast_av_interrupt(oodcast_av *r);

// oodcast_av_free closes and frees the reader, opened or not.
void oodcast_av_free(oodcast_av *r);

// oodcast_av_silence turns FFmpeg's log to stderr off: it has addresses in it, with their credentials.
void oodcast_av_silence(void);

#endif
