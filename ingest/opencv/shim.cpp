#include "shim.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

#include <dlfcn.h>
#include <sys/prctl.h>

#include <opencv2/core/utils/logger.hpp>
#include <opencv2/videoio/registry.hpp>

namespace {

const int kWarning = 24;  // AV_LOG_WARNING: smaller is worse

thread_local char reason[256];
std::atomic<int> changed[OODCAST_LOG_IDS + 1];

// A thread inherits the timer slack of the thread that makes it: in units of one nanosecond, too few to matter, it
// carries the id. There is nothing else that tells FFmpeg's threads apart by the capture they work for.
const int kSlack = 50000;  // Linux's default, ns

int thread_id() {
	int id = prctl(PR_GET_TIMERSLACK) - kSlack;
	return id > 0 && id <= OODCAST_LOG_IDS ? id : 0;
}

bool starts(const char *text, const char *with) { return std::strncmp(text, with, std::strlen(with)) == 0; }

void watch(void *, int level, const char *format, va_list args) {
	// A decoder asks for its pixel format when it starts and again when the size changes; OpenCV 4.6 does not notice and
	// goes on with a frozen or a garbled picture. When the new picture is larger, the scaler complains too.
	if (starts(format, "Format %s chosen by get_format")) changed[thread_id()] |= OODCAST_LOG_RESTARTED;
	if (starts(format, "Slice parameters")) changed[thread_id()] |= OODCAST_LOG_MISFIT;
	if (level < 0 || level > kWarning) return;
	char text[sizeof reason];
	std::vsnprintf(text, sizeof text, format, args);
	if (text[0] >= ' ') std::memcpy(reason, text, sizeof reason);
}

typedef void (*log_callback)(void *, int, const char *, va_list);

}  // namespace

char *oodcast_backends(void) {
	std::string names;
	try {
		for (cv::VideoCaptureAPIs api : cv::videoio_registry::getBackends()) {
			if (!names.empty()) names += ',';
			names += cv::videoio_registry::getBackendName(api);
		}
	} catch (...) { // an exception must not reach Go
	}
	return strdup(names.c_str());
}

void oodcast_silence(void) {
	cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
	// FFmpeg is there already when OpenCV is linked to it; without it there is nothing to silence.
	void *set = dlsym(RTLD_DEFAULT, "av_log_set_callback");
	if (set) reinterpret_cast<void (*)(log_callback)>(set)(watch);
}

void oodcast_log_begin(int id) {
	prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(kSlack + id));
	changed[id] = 0;
}

void oodcast_log_reset(void) { reason[0] = 0; }

void oodcast_log_reason(char *buf, int size) {
	std::strncpy(buf, reason, size - 1);
	buf[size - 1] = 0;
}

int oodcast_log_changed(int id) { return changed[id].exchange(0); }
