// The tabs that a new visitor finds: one for each common job, in the schema's own names.

const galleryPage = `# A page of the gallery, and of each project
# no more than four thumbnails.
query GalleryPage($page: Int! = 1, $perPage: Int! = 12) {
  gallery(page: $page, perPage: $perPage) {
    pagination {
      page
      pages
      total
      hasNext
    }
    projects {
      id
      projectId
      projectName
      createdAt
      totalImages
      completedImages
      images(first: 4) {
        id
        status
        output {
          thumbnail
        }
      }
    }
  }
}
`;

const oneProject = `# One project and its images, the best first.
# Take a projectId from the first tab.
query OneProject($projectId: BigInt!, $maxImages: Int! = 50) {
  project(projectId: $projectId, maxImages: $maxImages, sortBy: QUALITY_SCORE, order: DESC) {
    id
    projectName
    projectKey
    createdBy
    totalImages
    images {
      id
      originalFilename
      status
      qualityScore
      feedback
      inputs {
        thumbnail
      }
      output {
        fullSize
        thumbnail
      }
    }
  }
}
`;

const progress = `# How far each project is. It asks for no images,
# so it is cheap enough to repeat.
query Progress($ownership: Ownership) {
  gallery(perPage: 50, ownership: $ownership) {
    pagination {
      total
      hasNext
    }
    projects {
      projectId
      projectName
      totalImages
      completedImages
      failedImages
      pendingImages
    }
  }
}
`;

const liveProgress = `# The same, as it changes: a new answer comes
# by itself until you stop it, or all is done.
subscription LiveProgress($perPage: Int! = 5) {
  gallery(perPage: $perPage) {
    projects {
      projectId
      projectName
      completedImages
      failedImages
      pendingImages
    }
  }
}
`;

const failures = `# What failed, and why.
query Failures($status: String! = "failed") {
  gallery(status: $status, perPage: 20) {
    projects {
      projectId
      projectName
      failedImages
      images {
        id
        originalFilename
        jobId
        imageIndex
        status
        errorMessage
        createdAt
      }
    }
  }
}
`;

const search = `# Projects whose name, key or id
# matches a text.
query Search($text: String!, $ownership: Ownership) {
  gallery(search: $text, ownership: $ownership) {
    pagination {
      total
    }
    projects {
      projectId
      projectName
      projectKey
      createdAt
      totalImages
    }
  }
}
`;

const tab = (title, query, variables) => ({
  title,
  query: query.trimEnd(),
  variables: JSON.stringify(variables, null, 2),
});

export const examples = [
  tab('GalleryPage', galleryPage, { page: 1, perPage: 12 }),
  tab('OneProject', oneProject, { projectId: 10001, maxImages: 50 }),
  tab('Progress', progress, { ownership: 'MINE' }),
  tab('LiveProgress', liveProgress, { perPage: 5 }),
  tab('Failures', failures, { status: 'failed' }),
  tab('Search', search, { text: 'dress' }),
];
