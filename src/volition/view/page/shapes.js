// MuJoCo's primitive shapes as triangles: {position, normal, index}, sizes as MuJoCo has them, axis along z.

function surface(rows, columns, at) {
  // A sheet of (rows + 1) x (columns + 1) points; at(v, u) gives [x, y, z, nx, ny, nz].
  const position = [], normal = [], index = [];
  for (let i = 0; i <= rows; i++) {
    for (let j = 0; j <= columns; j++) {
      const p = at(i / rows, j / columns);
      position.push(p[0], p[1], p[2]);
      normal.push(p[3], p[4], p[5]);
    }
  }
  const wide = columns + 1;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const a = i * wide + j;
      index.push(a, a + 1, a + wide, a + 1, a + wide + 1, a + wide);
    }
  }
  return { position, normal, index };
}

function ellipsoid([a, b, c]) {
  return surface(14, 22, (v, u) => {
    const t = v * Math.PI, p = u * 2 * Math.PI;
    const x = Math.sin(t) * Math.cos(p), y = Math.sin(t) * Math.sin(p), z = Math.cos(t);
    const n = [x / a, y / b, z / c], length = Math.hypot(...n);
    return [a * x, b * y, c * z, n[0] / length, n[1] / length, n[2] / length];
  });
}

function capsule([r, half]) {
  const rows = 15; // eight rows for each cap: the middle one spans the cylinder
  return surface(rows, 22, (v, u) => {
    const i = Math.round(v * rows), top = i <= 7;
    const t = (top ? i / 7 : (i - 1) / 7) * Math.PI / 2, p = u * 2 * Math.PI;
    const x = Math.sin(t) * Math.cos(p), y = Math.sin(t) * Math.sin(p), z = Math.cos(t);
    return [r * x, r * y, r * z + (top ? half : -half), x, y, z];
  });
}

function cylinder([r, half]) {
  // Rows: rim of the lid twice (two normals), its centre, and the same below.
  const ring = [[0, half, 0, 1], [r, half, 0, 1], [r, half, 1, 0], [r, -half, 1, 0], [r, -half, 0, -1], [0, -half, 0, -1]];
  return surface(5, 26, (v, u) => {
    const [radius, z, side, up] = ring[Math.round(v * 5)], p = u * 2 * Math.PI;
    return [radius * Math.cos(p), radius * Math.sin(p), z, side * Math.cos(p), side * Math.sin(p), up];
  });
}

function box(size) {
  const position = [], normal = [], index = [];
  for (let axis = 0; axis < 3; axis++) {
    for (const sign of [-1, 1]) {
      const start = position.length / 3, b = (axis + 1) % 3, c = (axis + 2) % 3;
      for (const [s, t] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
        const p = [0, 0, 0], n = [0, 0, 0];
        p[axis] = sign * size[axis]; p[b] = s * size[b]; p[c] = t * size[c];
        n[axis] = sign;
        position.push(...p);
        normal.push(...n);
      }
      index.push(start, start + 1, start + 2, start, start + 2, start + 3);
    }
  }
  return { position, normal, index };
}

export function mesh(shape, size, far) {
  switch (shape) {
    case "sphere": return ellipsoid([size[0], size[0], size[0]]);
    case "ellipsoid": return ellipsoid(size);
    case "capsule": return capsule(size);
    case "cylinder": return cylinder(size);
    case "plane": return box([size[0] || far, size[1] || far, 1e-4]);
    default: return box(size);
  }
}

// Radius of the ball round a shape.
export function extent(shape, size) {
  switch (shape) {
    case "sphere": return size[0];
    case "capsule": return size[0] + size[1];
    case "cylinder": return Math.hypot(size[0], size[1]);
    case "plane": return 0;
    default: return Math.hypot(...size);
  }
}
