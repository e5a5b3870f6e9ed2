#include "writer.h"

#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

// open_encoder opens the named encoder, or fails.
static int open_encoder(oodcast_av_writer *w, const AVCodec *encoder, int width, int height, AVRational rate) {
	if (!encoder) return AVERROR_ENCODER_NOT_FOUND;
	AVCodecContext *c = avcodec_alloc_context3(encoder);
	if (!c) return AVERROR(ENOMEM);
	c->width = width;
	c->height = height;
	c->pix_fmt = AV_PIX_FMT_YUV420P;
	c->time_base = (AVRational){1, OODCAST_AV_TICKS};
	c->framerate = rate;
	c->max_b_frames = 0; // the file begins with its first picture, and times are kept as they are
	c->colorspace = AVCOL_SPC_SMPTE170M; // what libswscale makes of RGB
	c->color_range = AVCOL_RANGE_MPEG;
	if (w->format->oformat->flags & AVFMT_GLOBALHEADER) c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	if (av_opt_set(c->priv_data, "crf", "23", 0) < 0) { // an encoder without constant quality of this kind
		c->flags |= AV_CODEC_FLAG_QSCALE;
		c->global_quality = 4 * FF_QP2LAMBDA;
	}
	const int err = avcodec_open2(c, encoder, NULL);
	if (err < 0) {
		avcodec_free_context(&c);
		return err;
	}
	w->codec = c;
	return 0;
}

int oodcast_av_create(oodcast_av_writer *w, const char *path, int width, int height, AVRational rate) {
	int err = avformat_alloc_output_context2(&w->format, NULL, "mp4", path);
	if (err < 0) return err;
	err = open_encoder(w, avcodec_find_encoder_by_name("libx264"), width, height, rate);
	if (err < 0) err = open_encoder(w, avcodec_find_encoder(AV_CODEC_ID_H264), width, height, rate);
	if (err < 0) err = open_encoder(w, avcodec_find_encoder(AV_CODEC_ID_MPEG4), width, height, rate);
	if (err < 0) return err;
	w->stream = avformat_new_stream(w->format, NULL);
	w->packet = av_packet_alloc();
	w->rgb = av_frame_alloc();
	w->frame = av_frame_alloc();
	w->scaler = sws_getContext(width, height, AV_PIX_FMT_RGB24, width, height, AV_PIX_FMT_YUV420P, SWS_BICUBIC, NULL, NULL,
		NULL);
	if (!w->stream || !w->packet || !w->rgb || !w->frame || !w->scaler) return AVERROR(ENOMEM);
	w->stream->time_base = w->codec->time_base;
	if ((err = avcodec_parameters_from_context(w->stream->codecpar, w->codec)) < 0) return err;
	w->rgb->format = AV_PIX_FMT_RGB24;
	w->frame->format = AV_PIX_FMT_YUV420P;
	w->rgb->width = w->frame->width = width;
	w->rgb->height = w->frame->height = height;
	if ((err = av_frame_get_buffer(w->rgb, 0)) < 0) return err;
	if ((err = av_frame_get_buffer(w->frame, 0)) < 0) return err;
	if ((err = avio_open(&w->format->pb, path, AVIO_FLAG_WRITE)) < 0) return err;
	if ((err = avformat_write_header(w->format, NULL)) < 0) return err;
	w->began = 1;
	return 0;
}

// drain writes the packets that the encoder has ready. A failed write is seen at once or by oodcast_av_finish.
static int drain(oodcast_av_writer *w) {
	for (;;) {
		int err = avcodec_receive_packet(w->codec, w->packet);
		if (err == AVERROR(EAGAIN) || err == AVERROR_EOF) return 0;
		if (err < 0) return err;
		w->packet->duration = w->shown; // counts for the last one only: the others are shown until the next
		w->packet->stream_index = w->stream->index;
		av_packet_rescale_ts(w->packet, w->codec->time_base, w->stream->time_base);
		err = av_write_frame(w->format, w->packet);
		av_packet_unref(w->packet);
		if (err < 0) return err;
	}
}

int oodcast_av_write(oodcast_av_writer *w, const uint8_t *rgb, int row_bytes, int64_t at, int64_t shown) {
	int err = av_frame_make_writable(w->frame);
	if (err < 0) return err;
	AVFrame *in = w->rgb; // libswscale reads past the ends of rows
	av_image_copy_plane(in->data[0], in->linesize[0], rgb, row_bytes, 3 * in->width, in->height);
	sws_scale(w->scaler, (const uint8_t *const *)in->data, in->linesize, 0, in->height, w->frame->data, w->frame->linesize);
	w->frame->pts = at;
	w->frame->quality = w->codec->global_quality;
	w->shown = shown;
	if ((err = avcodec_send_frame(w->codec, w->frame)) < 0) return err;
	return drain(w);
}

int oodcast_av_finish(oodcast_av_writer *w) {
	int err = avcodec_send_frame(w->codec, NULL);
	if (err >= 0) err = drain(w);
	const int trailer = av_write_trailer(w->format);
	w->began = 0;
	avio_flush(w->format->pb);
	const int written = w->format->pb->error;
	const int closed = avio_closep(&w->format->pb);
	if (err < 0) return err;
	if (trailer < 0) return trailer;
	return written < 0 ? written : closed;
}

void oodcast_av_discard(oodcast_av_writer *w) {
	if (w->format && w->began) av_write_trailer(w->format); // frees what the muxer holds
	if (w->format) avio_closep(&w->format->pb);
	avformat_free_context(w->format);
	avcodec_free_context(&w->codec);
	av_packet_free(&w->packet);
	av_frame_free(&w->rgb);
	av_frame_free(&w->frame);
	sws_freeContext(w->scaler);
	*w = (oodcast_av_writer){0};
}
