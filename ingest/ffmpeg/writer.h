#ifndef OODCAST_INGEST_FFMPEG_WRITER_H
#define OODCAST_INGEST_FFMPEG_WRITER_H

#include <stdint.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

// OODCAST_AV_TICKS is the number of ticks in a second of a written film. MPEG-4 part 2 allows no more than 65535.
#define OODCAST_AV_TICKS 60000

// A writer is an MP4 file that is being written. Functions that return an int return 0 or an AVERROR.
typedef struct {
	AVFormatContext *format;
	AVCodecContext *codec;
	AVStream *stream; // belongs to format
	AVPacket *packet;
	AVFrame *rgb, *frame; // the picture as it came, with padded rows, and as it is encoded
	struct SwsContext *scaler;
	int64_t shown; // ticks for which the picture written last is shown
	int began;     // the header is written
} oodcast_av_writer;

// oodcast_av_create creates the file at path for pictures of width x height, both even. rate is a hint for the encoder.
int oodcast_av_create(oodcast_av_writer *w, const char *path, int width, int height, AVRational rate);

// oodcast_av_write appends a packed RGB picture whose rows are row_bytes apart. at is its time in ticks, later than the
// one before; shown is how long it is shown if no other one follows.
int oodcast_av_write(oodcast_av_writer *w, const uint8_t *rgb, int row_bytes, int64_t at, int64_t shown);

// oodcast_av_finish completes the file. It reports every failure to write since the file was created.
int oodcast_av_finish(oodcast_av_writer *w);

// oodcast_av_discard closes the file and frees the writer, whether it is finished or not.
void oodcast_av_discard(oodcast_av_writer *w);

#endif
