#include "chart/raster.h"

#include <stdint.h>
#include <string.h>

#include <png.h>

#include "base/mem.h"

/* Three bytes a pixel, red first, whatever the machine's order of bytes is. */
static unsigned char *packed(void *mem, const unsigned char *pixels, int width, int height,
			     int stride)
{
	unsigned char *rgb = NEW_ARRAY(mem, unsigned char, (size_t)width *(size_t)height * 3);
	unsigned char *to = rgb;

	for (int y = 0; y < height; y++) {
		const unsigned char *row = pixels + (ptrdiff_t)y * stride;
		for (int x = 0; x < width; x++) {
			uint32_t value;
			memcpy(&value, row + (ptrdiff_t)x * 4, sizeof(value));
			*to++ = (unsigned char)(value >> 16);
			*to++ = (unsigned char)(value >> 8);
			*to++ = (unsigned char)value;
		}
	}
	return rgb;
}

enum status raster_png(void *mem, const unsigned char *pixels, int width, int height, int stride,
		       unsigned char **out, size_t *n)
{
	SCOPE(scratch);
	png_image image = {.version = PNG_IMAGE_VERSION,
			   .width = (png_uint_32)width,
			   .height = (png_uint_32)height,
			   .format = PNG_FORMAT_RGB,
			   .flags = PNG_IMAGE_FLAG_FAST}; /* no filters, level 3 */
	png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
	unsigned char *bytes = NEW_ARRAY(scratch, unsigned char, size);

	if (!png_image_write_to_memory(&image, bytes, &size, 0,
				       packed(scratch, pixels, width, height, stride), 0, NULL))
		return failure(E_INTERNAL, "chart: a PNG cannot be written: %s", image.message);
	*out = MOVE(mem, GROW(scratch, bytes, unsigned char, size));
	*n = size;
	return OK;
}
